"""The router: nginx with Lua, and the agent that feeds it."""

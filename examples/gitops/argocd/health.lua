-- Health of a slipway.dev/ModelDeployment for Argo CD, from its conditions (they follow kstatus).
-- Healthy: what the spec asks for serves. Degraded: somebody must act. Suspended: spec.suspend. Progressing: everything else.
local function condition(kind)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == kind then
      return found
    end
  end
  return {}
end

local ready, stalled = condition("Ready"), condition("Stalled")

if (obj.status or {}).observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = ready.message or "Waiting for the operator."}
end
if stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end
if (obj.spec or {}).suspend then
  return {status = "Suspended", message = ready.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}

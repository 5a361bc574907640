-- Health of a slipway.dev/ModelDeployment or Experiment for Argo CD, from its conditions (they follow kstatus).
-- Healthy: what the spec asks for serves; the experiment runs or is over. Degraded: somebody must act. Suspended: spec.suspend, or it waits for another
-- object and nobody has to act. Progressing: everything else.
local function condition(kind)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == kind then
      return found
    end
  end
  return {}
end

local ready, reconciling, stalled = condition("Ready"), condition("Reconciling"), condition("Stalled")

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
if reconciling.status == "False" then
  return {status = "Suspended", message = ready.message}
end
return {status = "Progressing", message = ready.message}

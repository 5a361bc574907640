"""The Slipway operator: reconciles ModelDeployments into KServe InferenceServices."""

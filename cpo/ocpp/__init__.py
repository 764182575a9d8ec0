"""What OCPP messages mean; used by the CPO side and by nothing else."""

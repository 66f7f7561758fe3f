"""The rules of the gate, one module per kind of outcome, which `federated.disclosure` applies."""

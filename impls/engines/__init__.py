"""Engines behind the contract, a module each; none imports its engine before it is made."""

"""The specification: language, protocol, eras, properties, lifting, explorer, traces. It knows no solver."""

"""What a request is part of (W3C Trace Context), and how long its parts took (spans, as OpenTelemetry has them)."""

"""Data quality: Great Expectations on the staged batch, by SQL push-down."""

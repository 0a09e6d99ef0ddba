"""The Faust apps: score, log_predictions, and the batch transport they share."""

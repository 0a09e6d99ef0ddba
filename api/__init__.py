"""REST scoring, the control plane and the console (issue to come); nothing here yet."""

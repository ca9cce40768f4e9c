"""Learn filters without labels: one file a learner."""

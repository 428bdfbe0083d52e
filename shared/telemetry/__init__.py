"""What the house tells about itself: metrics for dashboards, one trace for every task."""

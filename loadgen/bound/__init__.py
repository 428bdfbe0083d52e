"""What nobody could have kept: an upper bound on attainment, and a schedule made in hindsight."""

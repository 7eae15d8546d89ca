"""What so many streams need, and what that costs."""

"""What vendors say, against what we say."""

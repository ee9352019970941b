"""What people take home: trained by the trainer that the task file names, or the prompt itself."""

"""What a query leaves in S3: result files, their metadata, and the data of UNLOAD and CTAS."""

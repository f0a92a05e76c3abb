// Simulated memory and ports belong to the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

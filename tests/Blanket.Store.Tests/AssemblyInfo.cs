// The simulated machine memory is one for the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

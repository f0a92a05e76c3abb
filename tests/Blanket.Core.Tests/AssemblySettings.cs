// The simulated machine is one per process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

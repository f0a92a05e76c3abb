// Simulated memory and the frame allocator are static.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

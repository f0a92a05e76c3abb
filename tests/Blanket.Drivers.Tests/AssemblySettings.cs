// The simulated machine (memory, frames, ports) is one of a process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

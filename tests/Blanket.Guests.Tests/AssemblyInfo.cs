// Each run has a machine of its own, and hosts have few CPUs: one after the other.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]

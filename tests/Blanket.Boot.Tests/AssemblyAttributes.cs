// Each test keeps a machine busy: two at a time would only make both slower.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

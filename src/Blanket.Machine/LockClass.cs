namespace Blanket.Machine;

/// <summary>
/// Every lock has a class; a CPU acquires locks only in rising class order (docs/architecture.md, "Locks").
/// Classes below <see cref="FirstMachineClass"/> protect one domain's state: a handler abandoned under them costs that domain.
/// The others protect the machine's: abandoned under one of them, the hypervisor panics.
/// </summary>
public enum LockClass : byte
{
    /// <summary>Who may create objects: an arena's scope, around the building of a domain.</summary>
    Construction = 1,

    /// <summary>A domain's life: building, pausing, killing.</summary>
    DomainControl,

    /// <summary>Two grant tables at once are taken by rising domain id.</summary>
    GrantTable,
    GrantMapTracks,

    /// <summary>Page tables of one domain: its mmu operations.</summary>
    PageTables,

    /// <summary>A domain's list of frames and their counts.</summary>
    DomainFrames,

    /// <summary>Event channels of one domain; two at once by rising domain id.</summary>
    EventChannels,

    /// <summary>Shared state of one vCPU.</summary>
    Vcpu,

    /// <summary>First class that is the machine's rather than a domain's.</summary>
    FirstMachineClass = 32,
    DomainTable = 32,
    Store,
    Backend,
    NetworkSwitch,
    Driver,

    /// <summary>What drivers of one L0 share: its store connection, grant references, event ports. Taken with a driver's lock held.</summary>
    DriverTransport,
    Scheduler,
    Timers,
    Allocation,

    /// <summary>Event queues of one vCPU (FIFO ABI); two at once by rising vCPU number.</summary>
    EventQueues,

    /// <summary>Entries of one domain's grant table: pins and status flags. Drivers and backends take it with their own locks held.</summary>
    GrantEntries,
    Slab,
    FrameAllocator,
    PageMappings,
    Interrupts,
    Trace,
    Log,

    /// <summary>Output queues of L0's consoles, which log sinks write to while the log is locked. Nothing is logged under it.</summary>
    ConsoleOutput,
}

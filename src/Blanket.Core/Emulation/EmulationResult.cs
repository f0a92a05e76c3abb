namespace Blanket.Core.Emulation;

/// <summary>What is to be done after an instruction was looked at.</summary>
public enum EmulationKind : byte
{
    /// <summary>Not an instruction to emulate: the guest gets the exception that happened.</summary>
    NotHandled,

    /// <summary>The guest goes on where its registers say.</summary>
    Done,

    /// <summary>The instruction is done, and the guest gets #DB.</summary>
    InjectDebug,

    /// <summary>The guest gets #UD.</summary>
    InjectInvalidOpcode,

    /// <summary>The guest gets #GP with error code 0.</summary>
    InjectGeneralProtection,

    /// <summary>The guest gets #PF with <see cref="EmulationResult.Address"/> and <see cref="EmulationResult.ErrorCode"/>.</summary>
    InjectPageFault,
}

/// <summary>Outcome of an emulation. Unless it is done, the guest's registers are as they were.</summary>
public readonly struct EmulationResult
{
    private EmulationResult(EmulationKind kind, ulong address, uint errorCode)
    {
        Kind = kind;
        Address = address;
        ErrorCode = errorCode;
    }

    /// <summary>What is to be done.</summary>
    public EmulationKind Kind { get; }

    /// <summary>Faulting linear address of a page fault.</summary>
    public ulong Address { get; }

    /// <summary>Error code of a page fault.</summary>
    public uint ErrorCode { get; }

    /// <summary>Not an instruction to emulate.</summary>
    public static EmulationResult NotHandled => default;

    /// <summary>Done, or to be executed again.</summary>
    public static EmulationResult Done => new(EmulationKind.Done, 0, 0);

    /// <summary>Done, and #DB.</summary>
    public static EmulationResult Debug => new(EmulationKind.InjectDebug, 0, 0);

    /// <summary>#UD.</summary>
    public static EmulationResult InvalidOpcode => new(EmulationKind.InjectInvalidOpcode, 0, 0);

    /// <summary>#GP(0).</summary>
    public static EmulationResult GeneralProtection => new(EmulationKind.InjectGeneralProtection, 0, 0);

    /// <summary>#PF.</summary>
    public static EmulationResult PageFault(ulong address, uint errorCode) => new(EmulationKind.InjectPageFault, address, errorCode);
}

namespace Blanket.Kernel.Platform;

/// <summary>Interrupt vectors with a fixed meaning. Exceptions have 0 to 31; devices get theirs from <see cref="InterruptVectors"/>.</summary>
public static class SystemVectors
{
    /// <summary>The sixteen inputs of the 8259 controllers, which are masked: what arrives here is noise and not acknowledged.</summary>
    public const byte FirstLegacy = 0x20;

    /// <summary>First vector for devices.</summary>
    public const byte FirstDevice = 0x30;

    /// <summary>Last vector for devices.</summary>
    public const byte LastDevice = 0xdf;

    /// <summary>Linux's and Xen's software interrupts, 0x80 and 0x82: left to guests.</summary>
    public const byte SystemCall = 0x80;

    /// <inheritdoc cref="SystemCall"/>
    public const byte Hypercall = 0x82;

    /// <summary>Raised by a CPU for itself: deferred handlers wait.</summary>
    public const byte Deferred = 0xef;

    /// <summary>The local APIC's timer.</summary>
    public const byte Timer = 0xe0;

    /// <summary>Another CPU wants this one to look at its pending work.</summary>
    public const byte Prompt = 0xe1;

    /// <summary>
    /// Another CPU waits for this one to flush its TLB, or has done what this one halted for. In a priority class (the upper four bits) above all
    /// that are only noted while a handler runs: those would hold it back.
    /// </summary>
    public const byte Flush = 0xf3;

    /// <summary>The local APIC found an error.</summary>
    public const byte Error = 0xfe;

    /// <summary>An interrupt that went away before it was delivered; not acknowledged.</summary>
    public const byte Spurious = 0xff;
}

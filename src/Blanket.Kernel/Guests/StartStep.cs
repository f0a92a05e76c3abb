namespace Blanket.Kernel.Guests;

/// <summary>What has to happen next in the start of a guest, in order.</summary>
internal enum StartStep : byte
{
    /// <summary>Open its bundle.</summary>
    Bundle,

    /// <summary>Compare its kernel with the bundle's checksum.</summary>
    Kernel,

    /// <summary>Compare its ramdisk with the bundle's checksum.</summary>
    Ramdisk,

    /// <summary>Make its domain, with vCPUs, tables and shared pages.</summary>
    Domain,

    /// <summary>Read what its kernel wants, and plan its memory.</summary>
    Plan,

    /// <summary>Give it memory with its kernel, its ramdisk and its first page tables.</summary>
    Memory,

    /// <summary>Connect it to xenstore and make its devices; let it run.</summary>
    Devices,
}

namespace Blanket.Abi.Xen;

/// <summary>Domain ids with a meaning (xen/include/public/xen.h).</summary>
public static class DomainId
{
    /// <summary>DOMID_FIRST_RESERVED: ids from here on are not domains.</summary>
    public const ushort FirstReserved = 0x7ff0;

    /// <summary>DOMID_SELF: the caller.</summary>
    public const ushort Self = 0x7ff0;

    /// <summary>DOMID_IO: owner of memory-mapped I/O.</summary>
    public const ushort Io = 0x7ff1;

    /// <summary>DOMID_XEN: owner of the hypervisor's shared frames.</summary>
    public const ushort Xen = 0x7ff2;

    /// <summary>DOMID_COW.</summary>
    public const ushort Cow = 0x7ff3;

    /// <summary>DOMID_INVALID.</summary>
    public const ushort Invalid = 0x7ff4;

    /// <summary>DOMID_IDLE.</summary>
    public const ushort Idle = 0x7fff;

    /// <summary>Blanket's built-in services (xenstore, backends): a domain id of their own, just below the reserved ones.</summary>
    public const ushort Services = 0x7fef;
}

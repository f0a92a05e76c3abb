using System.Runtime.CompilerServices;

namespace Blanket.Abi;

/// <summary>NUL-padded text of at most 63 bytes: a guest's name.</summary>
[InlineArray(Size)]
public struct BootBundleName
{
    /// <summary>Size in bytes, the closing NUL included.</summary>
    public const int Size = 64;

    private byte _first;
}

/// <summary>NUL-padded text of at most 15 bytes: a virtual device's or a bridge's name (as IFNAMSIZ).</summary>
[InlineArray(Size)]
public struct BootBundleShortName
{
    /// <summary>Size in bytes, the closing NUL included.</summary>
    public const int Size = 16;

    private byte _first;
}

/// <summary>A disk serial as VIRTIO_BLK_T_GET_ID returns it: 20 bytes, NUL-padded, no NUL when all are used (virtio 1.2, 5.2.6).</summary>
[InlineArray(Size)]
public struct BootBundleSerial
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 20;

    private byte _first;
}

/// <summary>A UUID in the byte order of its text form (xen_domain_handle_t).</summary>
[InlineArray(Size)]
public struct BootBundleUuid
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 16;

    private byte _first;
}

/// <summary>An Ethernet address in transmission order.</summary>
[InlineArray(Size)]
public struct BootBundleMac
{
    /// <summary>Size in bytes.</summary>
    public const int Size = 6;

    private byte _first;
}

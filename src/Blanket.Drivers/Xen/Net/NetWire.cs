namespace Blanket.Drivers.Xen.Net;

/// <summary>Numbers of the network device that are the driver's choice, or Ethernet's.</summary>
internal static class NetWire
{
    /// <summary>Bytes of a hardware address.</summary>
    public const int MacLength = 6;

    /// <summary>Least bytes of a frame: an Ethernet header.</summary>
    public const uint MinimumFrame = 14;

    /// <summary>Bytes of a received packet that are looked at for its headers.</summary>
    public const uint HeaderBytes = 256;
}

namespace Blanket.Drivers.Xen.Net;

/// <summary>Numbers of the network device that are the driver's choice.</summary>
internal static class NetWire
{
    /// <summary>Bytes of a received packet that are looked at for its headers.</summary>
    public const uint HeaderBytes = 256;
}

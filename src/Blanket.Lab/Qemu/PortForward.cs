using System.Globalization;
using System.Linq;
using System.Net;

namespace Blanket.Lab.Qemu;

/// <summary>A TCP port of the host that leads to a port of a guest.</summary>
/// <param name="HostPort">Port on the host's loopback address.</param>
/// <param name="GuestAddress">The guest's address, or null for the first that the built-in DHCP server gives out.</param>
/// <param name="GuestPort">Port in the guest.</param>
public sealed record PortForward(ushort HostPort, IPAddress? GuestAddress, ushort GuestPort)
{
    /// <summary>Reads <c>HOSTPORT:GUESTPORT</c> or <c>HOSTPORT:GUESTADDRESS:GUESTPORT</c> (IPv4); null for anything else.</summary>
    public static PortForward? TryParse(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length is not (2 or 3) || ParsePort(parts[0]) is not ushort host || ParsePort(parts[^1]) is not ushort guest)
        {
            return null;
        }

        if (parts.Length == 2)
        {
            return new PortForward(host, null, guest);
        }

        // A dotted quad only: IPAddress reads "1" as an address too.
        return parts[1].Count(c => c == '.') == 3 && IPAddress.TryParse(parts[1], out IPAddress? address)
            ? new PortForward(host, address, guest)
            : null;
    }

    private static ushort? ParsePort(string text) =>
        ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0 ? port : null;
}

using System.Runtime.InteropServices;

namespace Blanket.Drivers.Virtio.Console;

/// <summary>Numbers of the console device (virtio 1.2, 5.3).</summary>
internal static class ConsoleWire
{
    /// <summary>VIRTIO_CONSOLE_F_MULTIPORT (5.3.3).</summary>
    public const ulong MultiPort = 1UL << 1;

    /// <summary>Offset of max_nr_ports in struct virtio_console_config (5.3.4).</summary>
    public const uint ConfigMaximumPorts = 4;

    // Queues (5.3.2); port n > 0 has 2 + 2n and 3 + 2n.
    public const int ControlReceiveQueue = 2;
    public const int ControlTransmitQueue = 3;

    // Control events (5.3.6.2).
    public const ushort DeviceReady = 0;
    public const ushort PortAdd = 1;
    public const ushort PortRemove = 2;
    public const ushort PortReady = 3;
    public const ushort ConsolePort = 4;
    public const ushort Resize = 5;
    public const ushort PortOpen = 6;
    public const ushort PortName = 7;

    /// <summary>Bytes of struct virtio_console_control; a name follows PORT_NAME.</summary>
    public const int ControlSize = 8;

    /// <summary>Receive queue of a port.</summary>
    public static int ReceiveQueueOf(int port) => port == 0 ? 0 : 2 + 2 * port;

    /// <summary>Transmit queue of a port.</summary>
    public static int TransmitQueueOf(int port) => ReceiveQueueOf(port) + 1;

    /// <summary>Port of a queue that is not a control queue.</summary>
    public static int PortOf(int queue) => queue < ControlReceiveQueue ? 0 : queue / 2 - 1;
}

/// <summary>struct virtio_console_control (virtio 1.2, 5.3.6.2).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ConsoleControl
{
    public uint Port;
    public ushort Event;
    public ushort Value;
}

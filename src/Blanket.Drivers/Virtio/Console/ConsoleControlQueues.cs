using System;
using System.Numerics;
using System.Runtime.InteropServices;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Console;

/// <summary>
/// The control channel of a console with several ports (virtio 1.2, 5.3.6.2). What is to be said is kept as a bit a port, and one
/// message is in flight at a time: devices drop their answers when their receive buffers run out.
/// </summary>
internal sealed class ConsoleControlQueues(Virtqueue receive, Virtqueue transmit, ulong input, ulong output)
{
    /// <summary>Receive buffers, and bytes of each; a device may add 31 ports at once.</summary>
    public const int InputBuffers = 32;
    public const int InputBufferSize = 128;

    /// <summary>The most ports that bits are kept for.</summary>
    public const int MaximumPorts = 64;

    private bool _mustAnnounce;
    private ulong _mustReady;
    private ulong _mustOpen;

    public Virtqueue Receive => receive;

    public Virtqueue Transmit => transmit;

    /// <summary>Whether everything has been said and taken by the device.</summary>
    public bool IsQuiet => !_mustAnnounce && (_mustReady | _mustOpen) == 0 && transmit.InFlight == 0;

    /// <summary>Starts over: the device will be asked for its ports.</summary>
    public void Announce()
    {
        transmit.Lock.Acquire();
        _mustAnnounce = true;
        _mustReady = 0;
        _mustOpen = 0;
        transmit.Lock.Release();
    }

    /// <summary>Tells the device that a port is ready and open on this side.</summary>
    public void Welcome(int port)
    {
        transmit.Lock.Acquire();
        _mustReady |= 1UL << port;
        _mustOpen |= 1UL << port;
        transmit.Lock.Release();
    }

    /// <summary>Forgets what was to be said about a port.</summary>
    public void Forget(int port)
    {
        transmit.Lock.Acquire();
        _mustReady &= ~(1UL << port);
        _mustOpen &= ~(1UL << port);
        transmit.Lock.Release();
    }

    /// <summary>Gives the device all receive buffers that it does not have.</summary>
    public bool FillReceive()
    {
        receive.Lock.Acquire();
        while (receive.TryBegin(1, out DescriptorChain chain))
        {
            receive.Append(ref chain, input + chain.Head * (uint)InputBufferSize, InputBufferSize, true);
            receive.Add(ref chain);
        }

        bool mustNotify = receive.Publish();
        receive.Lock.Release();
        return mustNotify;
    }

    /// <summary>Copies the next message from the device.</summary>
    /// <param name="message">At least <see cref="InputBufferSize"/> bytes.</param>
    /// <param name="length">Bytes of it; more than that when the device lied.</param>
    public bool TryReceive(Span<byte> message, out uint length)
    {
        receive.Lock.Acquire();
        bool found = receive.TryTakeUsed(out ushort id, out length);
        if (found && length <= InputBufferSize)
        {
            PhysicalMemory.Bytes(input + id * (uint)InputBufferSize, (int)length).CopyTo(message);
        }

        receive.Lock.Release();
        return found;
    }

    /// <summary>Takes what was sent and sends what is next.</summary>
    /// <returns>Whether the transmit queue is to be notified.</returns>
    public bool SendNext()
    {
        bool mustNotify = false;
        transmit.Lock.Acquire();
        do
        {
            while (transmit.TryTakeUsed(out _, out _))
            {
            }

            if (transmit.InFlight == 0 && TryChoose(out ConsoleControl message) && transmit.TryBegin(1, out DescriptorChain chain))
            {
                Forget(in message);
                PhysicalMemory.At<ConsoleControl>(output) = message;
                transmit.Append(ref chain, output, ConsoleWire.ControlSize, false);
                transmit.Add(ref chain);
                mustNotify |= transmit.Publish();
            }
        }
        while (!transmit.TryRequestInterrupt());

        transmit.Lock.Release();
        return mustNotify;
    }

    /// <summary>Asks for an interrupt at the next message; false when there is one already.</summary>
    public bool TryRequestInterrupt()
    {
        receive.Lock.Acquire();
        bool isIdle = receive.TryRequestInterrupt();
        receive.Lock.Release();
        return isIdle;
    }

    private bool TryChoose(out ConsoleControl message)
    {
        message = default;
        message.Value = 1;
        if (_mustAnnounce)
        {
            message.Event = ConsoleWire.DeviceReady;
            return true;
        }

        bool isReady = _mustReady != 0;
        ulong ports = isReady ? _mustReady : _mustOpen;
        message.Event = isReady ? ConsoleWire.PortReady : ConsoleWire.PortOpen;
        message.Port = (uint)BitOperations.TrailingZeroCount(ports) & 63;
        return ports != 0;
    }

    private void Forget(in ConsoleControl message)
    {
        ulong bit = 1UL << (int)message.Port;
        switch (message.Event)
        {
            case ConsoleWire.DeviceReady:
                _mustAnnounce = false;
                break;
            case ConsoleWire.PortReady:
                _mustReady &= ~bit;
                break;
            default:
                _mustOpen &= ~bit;
                break;
        }
    }
}

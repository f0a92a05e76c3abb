using System;
using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Requests to xenstore, one at a time (io/xs_wire.h).</summary>
internal static unsafe class Store
{
    // The answer to a read: a header and a value, all shorter than a ring.
    private const int MaximumValue = 256;

    private static byte* Ring => (byte*)Domain.Home(Domain.PseudoPhysicalOfMachine(Domain.Start.StoreFrame));

    /// <summary>Reads a node of a directory.</summary>
    /// <returns>The bytes of its value; -1 when it cannot be read.</returns>
    internal static int Read(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, Span<byte> value)
    {
        Send(XenStoreMessage.Read, directory, name, default);
        return Receive(value) == XenStoreMessage.Read ? s_length : -1;
    }

    /// <summary>Reads a decimal number; -1 when there is none.</summary>
    internal static long ReadNumber(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name)
    {
        Span<byte> text = stackalloc byte[MaximumValue];
        int length = Read(directory, name, text);
        long value = length <= 0 ? -1 : 0;
        for (int i = 0; i < length; i++)
        {
            value = value * 10 + (text[i] - '0');
        }

        return value;
    }

    /// <summary>Writes a decimal number to a node of a directory.</summary>
    internal static bool Write(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, ulong value)
    {
        Span<byte> digits = stackalloc byte[20];
        int first = digits.Length;
        do
        {
            digits[--first] = (byte)('0' + value % 10);
            value /= 10;
        }
        while (value != 0);
        Send(XenStoreMessage.Write, directory, name, digits.Slice(first));
        Span<byte> answer = stackalloc byte[MaximumValue];
        return Receive(answer) == XenStoreMessage.Write;
    }

    private static int s_length;

    private static void Send(XenStoreMessage type, ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        Span<byte> header = stackalloc byte[XenStoreWire.HeaderSize];
        header.Clear();
        header[XenStoreWire.HeaderType] = (byte)type;
        int length = directory.Length + 1 + name.Length + 1 + value.Length;
        header[XenStoreWire.HeaderLength] = (byte)length;
        header[XenStoreWire.HeaderLength + 1] = (byte)(length >> 8);
        Put(header);
        Put(directory);
        Put("/"u8);
        Put(name);
        Put("\0"u8);
        Put(value);
        Tell();
    }

    /// <summary>Waits for the answer, copies its payload as far as it fits, and takes its type.</summary>
    private static XenStoreMessage Receive(Span<byte> payload)
    {
        Span<byte> header = stackalloc byte[XenStoreWire.HeaderSize];
        for (int i = 0; i < header.Length; i++)
        {
            header[i] = Take();
        }

        int length = header[XenStoreWire.HeaderLength] | header[XenStoreWire.HeaderLength + 1] << 8;
        for (int i = 0; i < length; i++)
        {
            byte value = Take();
            if (i < payload.Length)
            {
                payload[i] = value;
            }
        }

        s_length = Math.Min(length, payload.Length);
        Tell();
        return (XenStoreMessage)header[XenStoreWire.HeaderType];
    }

    private static void Put(ReadOnlySpan<byte> bytes)
    {
        byte* ring = Ring;
        for (int i = 0; i < bytes.Length; i++)
        {
            uint producer = Index(XenStoreWire.RequestProducer);
            while (unchecked(producer - Volatile.Read(ref Index(XenStoreWire.RequestConsumer))) >= XenStoreWire.RingSize)
            {
                Tell();
                Domain.Yield();
            }

            ring[XenStoreWire.RequestRing + (int)(producer & (XenStoreWire.RingSize - 1))] = bytes[i];
            Volatile.Write(ref Index(XenStoreWire.RequestProducer), unchecked(producer + 1));
        }
    }

    private static byte Take()
    {
        uint consumer = Index(XenStoreWire.ResponseConsumer);
        while (Volatile.Read(ref Index(XenStoreWire.ResponseProducer)) == consumer)
        {
            Domain.Yield();
        }

        byte value = Ring[XenStoreWire.ResponseRing + (int)(consumer & (XenStoreWire.RingSize - 1))];
        Volatile.Write(ref Index(XenStoreWire.ResponseConsumer), unchecked(consumer + 1));
        return value;
    }

    private static void Tell()
    {
        uint port = Domain.Start.StorePort;
        Hypercall.Event(EventChannelOp.Send, &port);
    }

    private static ref uint Index(int offset) => ref *(uint*)(Ring + offset);
}

using System;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>Text on the console of the domain.</summary>
internal static unsafe class Output
{
    private static byte* s_ring;
    private static uint s_port;

    internal static void Initialize()
    {
        ref StartInfo start = ref Domain.Start;
        s_ring = (byte*)Domain.Home(Domain.PseudoPhysicalOfMachine(start.ConsoleFrame));
        s_port = start.ConsolePort;
    }

    internal static void Text(ReadOnlySpan<byte> text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            Put(text[i]);
        }
    }

    internal static void Line(ReadOnlySpan<byte> text)
    {
        Text(text);
        End();
    }

    internal static void End()
    {
        Put((byte)'\n');
        Notify();
    }

    internal static void Number(long value)
    {
        if (value < 0)
        {
            Put((byte)'-');
        }

        Digits(value < 0 ? (ulong)-value : (ulong)value, 10);
    }

    internal static void Hex(ulong value)
    {
        Text("0x"u8);
        Digits(value, 16);
    }

    /// <summary>Waits until the other end has read everything.</summary>
    internal static void Drain()
    {
        Notify();
        while (Volatile.Read(ref Index(XenconsInterface.OutputConsumer)) != Volatile.Read(ref Index(XenconsInterface.OutputProducer)))
        {
            Domain.Yield();
        }
    }

    private static void Digits(ulong value, ulong radix)
    {
        byte* digits = stackalloc byte[24];
        int count = 0;
        do
        {
            ulong digit = value % radix;
            digits[count++] = (byte)(digit < 10 ? '0' + digit : 'a' + digit - 10);
            value /= radix;
        }
        while (value != 0);
        while (count > 0)
        {
            Put(digits[--count]);
        }
    }

    private static void Put(byte value)
    {
        uint producer = Index(XenconsInterface.OutputProducer);
        while (unchecked(producer - Volatile.Read(ref Index(XenconsInterface.OutputConsumer))) >= XenconsInterface.OutputSize)
        {
            Notify();
            Domain.Yield();
        }

        s_ring[XenconsInterface.Output + (int)(producer & (XenconsInterface.OutputSize - 1))] = value;
        Volatile.Write(ref Index(XenconsInterface.OutputProducer), unchecked(producer + 1));
    }

    private static ref uint Index(int offset) => ref *(uint*)(s_ring + offset);

    private static void Notify()
    {
        uint port = s_port;
        Hypercall.Event(EventChannelOp.Send, &port);
    }
}

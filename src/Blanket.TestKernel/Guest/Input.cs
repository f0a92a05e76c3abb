using System;
using System.Threading;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>Lines that somebody types into the console of the domain.</summary>
internal static unsafe class Input
{
    private static int s_length;

    /// <summary>Takes what has come in; true when a line is whole now.</summary>
    /// <param name="line">Kept between calls; at most as long a line is read, the rest of it is left out.</param>
    /// <param name="length">Bytes of the line, without its end.</param>
    internal static bool TryReadLine(Span<byte> line, out int length)
    {
        byte* ring = (byte*)Domain.Home(Domain.PseudoPhysicalOfMachine(Domain.Start.ConsoleFrame));
        ref uint consumer = ref *(uint*)(ring + XenconsInterface.InputConsumer);
        length = 0;
        while (Volatile.Read(ref *(uint*)(ring + XenconsInterface.InputProducer)) != consumer)
        {
            byte value = ring[XenconsInterface.Input + (int)(consumer & (XenconsInterface.InputSize - 1))];
            Volatile.Write(ref consumer, unchecked(consumer + 1));
            if (value is (byte)'\n' or (byte)'\r')
            {
                length = s_length;
                s_length = 0;
                return true;
            }

            if (s_length < line.Length)
            {
                line[s_length++] = value;
            }
        }

        return false;
    }

    /// <summary>As <see cref="TryReadLine"/>, but gives up the CPU until there is a line.</summary>
    internal static int ReadLine(Span<byte> line)
    {
        uint port = Domain.Start.ConsolePort;
        while (true)
        {
            // Before the look: what comes in behind it sets the bit again.
            Domain.ClearPending(port);
            if (TryReadLine(line, out int length))
            {
                return length;
            }

            Domain.Poll(port);
        }
    }
}

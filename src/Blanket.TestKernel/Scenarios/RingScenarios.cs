using System.Threading;
using Blanket.Abi;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>Nonsense in the rings that every domain has from its start, and more events than anybody asked for.</summary>
internal static unsafe class RingScenarios
{
    private const int Floods = 20_000;

    // Enough for services that have been told; each is work of the hypervisor's before it comes back.
    private const int Turns = 200;

    /// <summary>Indexes of the console's rings that cannot be; afterwards the console has to work, or nobody learns of this.</summary>
    internal static void ConsoleIndexes()
    {
        byte* ring = (byte*)Domain.Home(Domain.PseudoPhysicalOfMachine(Domain.Start.ConsoleFrame));
        Output.Drain();
        uint produced = Index(ring, XenconsInterface.OutputProducer);
        uint read = Index(ring, XenconsInterface.InputConsumer);

        // Reported when the console works again.
        int taken = 0;
        long errors = 0;
        for (uint ahead = XenconsInterface.OutputSize + 1; ahead != 0; ahead <<= 1)
        {
            Volatile.Write(ref Index(ring, XenconsInterface.OutputProducer), unchecked(produced + ahead));
            Volatile.Write(ref Index(ring, XenconsInterface.InputConsumer), unchecked(read + ahead));
            errors += Tell(Domain.Start.ConsolePort) != 0 ? 1 : 0;
            taken += Volatile.Read(ref Index(ring, XenconsInterface.OutputConsumer)) == produced ? 0 : 1;
        }

        Volatile.Write(ref Index(ring, XenconsInterface.OutputProducer), produced);
        Volatile.Write(ref Index(ring, XenconsInterface.InputConsumer), read);
        Report.Equal("events that were refused"u8, errors, 0);
        Report.Equal("times that something was taken from a console that holds more than fits"u8, taken, 0);
    }

    /// <summary>More events than can be worked off, to services that have nothing to do for them.</summary>
    internal static void EventFlood()
    {
        uint console = Domain.Start.ConsolePort;
        uint store = Domain.Start.StorePort;
        long errors = 0;
        for (int i = 0; i < Floods; i++)
        {
            errors += Hypercall.Event(EventChannelOp.Send, &console) != 0 ? 1 : 0;
            errors += Hypercall.Event(EventChannelOp.Send, &store) != 0 ? 1 : 0;
        }

        Report.Equal("events that were refused"u8, errors, 0);
    }

    /// <summary>A xenstore ring whose indexes cannot be gets no answers any more, and nothing else happens.</summary>
    internal static void StoreIndexes()
    {
        byte* ring = (byte*)Domain.Home(Domain.PseudoPhysicalOfMachine(Domain.Start.StoreFrame));
        uint consumed = Index(ring, XenStoreWire.RequestConsumer);
        uint answered = Index(ring, XenStoreWire.ResponseProducer);
        for (uint ahead = XenStoreWire.RingSize + 1; ahead != 0; ahead <<= 1)
        {
            Volatile.Write(ref Index(ring, XenStoreWire.RequestProducer), unchecked(consumed + ahead));
            Report.Equal("event"u8, Tell(Domain.Start.StorePort), 0);
        }

        Report.True("nothing is taken from a ring that holds more than fits"u8, Volatile.Read(ref Index(ring, XenStoreWire.RequestConsumer)) == consumed);
        Report.True("nothing is answered on a ring that holds more than fits"u8, Volatile.Read(ref Index(ring, XenStoreWire.ResponseProducer)) == answered);
        Report.Equal("the reason that the store gives"u8, Volatile.Read(ref Index(ring, XenStoreWire.ConnectionError)), XenStoreWire.ErrorRingIndex);
    }

    private static long Tell(uint port)
    {
        long result = Hypercall.Event(EventChannelOp.Send, &port);
        for (int i = 0; i < Turns; i++)
        {
            Domain.Yield();
        }

        return result;
    }

    private static ref uint Index(byte* ring, int offset) => ref *(uint*)(ring + offset);
}

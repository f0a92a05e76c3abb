using System;
using Blanket.Abi.Xen;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>
/// A neighbour that asks for as much as it can get, of a kind that is typed into its console: <c>rest</c>, <c>compute</c>, <c>events</c>,
/// <c>requests</c> (reads of its disk) or <c>packets</c> (of its first vif), until the next line comes; <c>end</c> or <c>reboot</c> is the last. Or one that
/// tells how it fares: <c>watch</c> (<see cref="Watch"/>).
/// </summary>
internal static unsafe class Flood
{
    private const int LineLength = 32;

    // Between looks at the console.
    private const int Steps = 100;
    private const int ComputeSteps = 100_000;
    private const ushort PacketSize = 1514;
    private const int AddressBytes = 12;
    private const byte LocalAddress = 2;

    private static ulong s_counted;

    internal static void Run()
    {
        Span<byte> line = stackalloc byte[LineLength];
        int length = 0;
        while (true)
        {
            ReadOnlySpan<byte> kind = line.Slice(0, length);
            if (kind.SequenceEqual("end"u8))
            {
                return;
            }

            if (kind.SequenceEqual("reboot"u8))
            {
                Domain.Shutdown(ShutdownReason.Reboot);
            }

            Output.Text("flood: "u8);
            Output.Line(kind);
            length = RunKind(kind, line);
        }
    }

    /// <summary>One kind until the next line, whose length it returns.</summary>
    private static int RunKind(ReadOnlySpan<byte> kind, Span<byte> line)
    {
        if (kind.SequenceEqual("compute"u8))
        {
            return Compute(line);
        }

        if (kind.SequenceEqual("watch"u8))
        {
            return Watch.Run(line);
        }

        if (kind.SequenceEqual("events"u8))
        {
            return Events(line);
        }

        if (kind.SequenceEqual("requests"u8))
        {
            return Requests(line);
        }

        return kind.SequenceEqual("packets"u8) ? Packets(line) : Input.ReadLine(line);
    }

    private static int Compute(Span<byte> line)
    {
        int length;
        while (!Input.TryReadLine(line, out length))
        {
            for (int i = 0; i < ComputeSteps; i++)
            {
                System.Threading.Volatile.Write(ref s_counted, s_counted + 1);
            }
        }

        return length;
    }

    private static int Events(Span<byte> line)
    {
        uint console = Domain.Start.ConsolePort;
        uint store = Domain.Start.StorePort;
        int length;
        while (!Input.TryReadLine(line, out length))
        {
            for (int i = 0; i < Steps; i++)
            {
                Hypercall.Event(EventChannelOp.Send, &console);
                Hypercall.Event(EventChannelOp.Send, &store);
            }
        }

        return length;
    }

    private static int Requests(Span<byte> line)
    {
        ulong mark = Domain.NextFrame;
        if (!BlockFrontend.TryFind(out BlockFrontend disk) || !disk.Connect())
        {
            return Input.ReadLine(line);
        }

        uint page = disk.Device.Grant(Page.Take());
        ulong sector = 0;
        int length;
        while (!Input.TryReadLine(line, out length))
        {
            while (disk.Ring.HasRoom)
            {
                byte* request = disk.Put((byte)BlkifOperation.Read, Blkif.MaximumSegments, sector);
                for (int i = 0; i < Blkif.MaximumSegments; i++)
                {
                    BlockFrontend.SetSegment(request + BlkifLayout.Bits64.Segments, i, page, 0, BlockFrontend.SectorsOfPage - 1);
                }

                sector = (sector + Blkif.MaximumSegments * BlockFrontend.SectorsOfPage) % (disk.Sectors / 2);
            }

            disk.Ring.Publish();
            disk.Device.Notify();
            while (disk.Ring.TryTake() != null)
            {
            }
        }

        disk.Device.Close();
        GrantTable.RevokeAll();
        Report.Reclaim(mark);
        return length;
    }

    private static int Packets(Span<byte> line)
    {
        ulong mark = Domain.NextFrame;
        if (!NetFrontend.TryFind("device/vif/0"u8, out NetFrontend vif) || !vif.Connect())
        {
            return Input.ReadLine(line);
        }

        Page page = Page.Take();
        // To its own sender: they take the whole way through the backend and the switch, and nothing of L0's.
        page.Bytes.Slice(0, AddressBytes).Fill(LocalAddress);
        uint reference = vif.Device.Grant(page, isReadOnly: true);
        int length;
        while (!Input.TryReadLine(line, out length))
        {
            while (vif.Transmit.HasRoom)
            {
                vif.PutSlot(reference, 0, PacketSize);
            }

            vif.Transmit.Publish();
            vif.Device.Notify();
            while (vif.Transmit.TryTake() != null)
            {
            }
        }

        vif.Device.Close();
        GrantTable.RevokeAll();
        Report.Reclaim(mark);
        return length;
    }
}

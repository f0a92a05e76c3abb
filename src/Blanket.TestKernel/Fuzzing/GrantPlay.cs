using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Random grants of the pool's frames, to the domain itself for the most part, and their mappings, copies and transfers.</summary>
internal static unsafe class GrantPlay
{
    private const int HandleSlots = 32;

    private static uint s_version;
    private static Handles s_handles;

    [System.Runtime.CompilerServices.InlineArray(HandleSlots)]
    private struct Handles
    {
        private GrantUnmapArgument _first;
    }

    /// <summary>Maps the grant table.</summary>
    /// <returns>Its first frame.</returns>
    internal static ulong Initialize()
    {
        s_version = 1;
        return GrantTable.Map();
    }

    internal static uint Reference() => Dice.Once(20) ? (uint)Dice.Interesting() : 8 + Dice.Below(Dice.Once(10) ? GrantTable.Entries : 40);

    /// <summary>Writes an entry, whatever is in use of it.</summary>
    internal static bool Offer()
    {
        uint reference = 8 + Dice.Below(40);
        ulong frame = Pool.ExpendableFrame();
        ushort flags = (ushort)(Dice.Once(4) ? Dice.Next() : Dice.Below(4) | (Dice.Once(4) ? (uint)GrantTableFlags.ReadOnly : 0));
        ushort domain = Dice.Once(6) ? Dice.DomainNumber() : Partner();
        if (s_version == 2)
        {
            byte* entry = (byte*)GrantTable.Address + reference * GrantTableEntry.SizeV2;
            *(ushort*)entry = flags;
            *(ushort*)(entry + 2) = domain;
            *(uint*)(entry + 4) = (uint)Dice.Interesting();
            *(ulong*)(entry + 8) = frame;
        }
        else
        {
            GrantTable.Set(reference, flags, domain, frame);
        }

        return true;
    }

    /// <summary>Maps up to three grants, of a domain for the most part.</summary>
    internal static bool Map(ushort granter)
    {
        GrantMapArgument* arguments = (GrantMapArgument*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(3);
        for (uint i = 0; i < count; i++)
        {
            int hot = Pool.Pick();
            Pool.Writable(hot) = 0;
            arguments[i] = default;
            arguments[i].Flags = Dice.Once(10) ? (uint)Dice.Next() : GrantMapFlags.Host | (Dice.Once(2) ? GrantMapFlags.ReadOnly : 0) | (Dice.Once(4) ? GrantMapFlags.Device : 0);
            arguments[i].HostAddress = Pool.Address(hot);
            if (Dice.Once(5))
            {
                arguments[i].Flags |= GrantMapFlags.ContainsEntry;
                arguments[i].HostAddress = Pool.HomeEntry(hot);
            }
            else if (Dice.Once(20))
            {
                arguments[i].HostAddress = SafeAddress();
            }

            arguments[i].Domain = Dice.Once(8) ? Dice.DomainNumber() : granter;
            arguments[i].Reference = Reference();
        }

        bool result = Hypercall.Grant(GrantTableOp.MapGrantReference, arguments, Dice.Once(30) ? (uint)Dice.Interesting() : count) == 0;
        for (uint i = 0; i < count; i++)
        {
            if (result && arguments[i].Status == 0)
            {
                ref GrantUnmapArgument slot = ref s_handles[(int)Dice.Below(HandleSlots)];
                slot.HostAddress = arguments[i].HostAddress;
                slot.DeviceBusAddress = (arguments[i].Flags & GrantMapFlags.Device) != 0 ? arguments[i].DeviceBusAddress : 0;
                slot.Handle = arguments[i].Handle;
            }
        }

        return result && arguments[0].Status == 0;
    }

    internal static bool Unmap()
    {
        GrantUnmapArgument* arguments = (GrantUnmapArgument*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(3);
        for (uint i = 0; i < count; i++)
        {
            arguments[i] = s_handles[(int)Dice.Below(HandleSlots)];
            switch (Dice.Below(10))
            {
                case 0:
                    arguments[i].Handle = (uint)Dice.Interesting();
                    break;
                case 1:
                    arguments[i].HostAddress = SafeAddress();
                    break;
                case 2:
                    arguments[i].DeviceBusAddress = Dice.Interesting();
                    break;
                default:
                    break;
            }
        }

        bool result = Hypercall.Grant(GrantTableOp.UnmapGrantReference, arguments, count) == 0 && arguments[0].Status == 0;
        ForgetWritable();
        return result;
    }

    internal static bool UnmapAndReplace()
    {
        GrantUnmapAndReplaceArgument argument = default;
        GrantUnmapArgument known = s_handles[(int)Dice.Below(HandleSlots)];
        argument.HostAddress = known.HostAddress;
        argument.Handle = known.Handle;
        argument.NewAddress = Dice.Once(4) ? SafeAddress() : Pool.Address(Pool.Pick());
        bool result = Hypercall.Grant(GrantTableOp.UnmapAndReplace, &argument) == 0 && argument.Status == 0;
        ForgetWritable();
        return result;
    }

    internal static bool Copy()
    {
        GrantCopyArgument* arguments = (GrantCopyArgument*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(6);
        for (uint i = 0; i < count; i++)
        {
            arguments[i] = default;
            arguments[i].Flags = (ushort)(Dice.Once(10) ? Dice.Next() : Dice.Below(4));
            arguments[i].Length = (ushort)(Dice.Once(4) ? Dice.Next() : Dice.Below(4097));
            Fill(ref arguments[i].Source, (arguments[i].Flags & GrantCopyArgument.SourceIsGrant) != 0, Pool.AnyFrame());
            Fill(ref arguments[i].Destination, (arguments[i].Flags & GrantCopyArgument.DestinationIsGrant) != 0, Pool.ExpendableFrame());
        }

        return Hypercall.Grant(GrantTableOp.Copy, arguments, count) == 0 && arguments[0].Status == 0;
    }

    private static void Fill(ref GrantCopyPointer pointer, bool isGrant, ulong frame)
    {
        pointer.Frame = isGrant ? Reference() : frame;
        pointer.Domain = isGrant ? Dice.Once(6) ? Dice.DomainNumber() : Partner() : Dice.DomainNumber();
        pointer.Offset = (ushort)(Dice.Once(3) ? Dice.Below(4100) : 0);
    }

    internal static bool Transfer()
    {
        GrantTransferArgument argument = default;
        argument.Frame = Pool.ExpendableFrame();
        argument.Domain = Dice.Once(3) ? Dice.DomainNumber() : Partner();
        argument.Reference = Reference();
        bool result = Hypercall.Grant(GrantTableOp.Transfer, &argument) == 0 && argument.Status == 0;
        Pool.Resynchronise();
        return result;
    }

    /// <summary>The small operations.</summary>
    internal static bool Manage()
    {
        switch (Dice.Below(8))
        {
            case 0:
                GrantVersionArgument version = default;
                version.Version = Dice.Once(4) ? (uint)Dice.Interesting() : 1 + Dice.Below(2);
                bool isSet = Hypercall.Grant(GrantTableOp.SetVersion, &version) == 0;
                GrantVersionArgument actual = default;
                actual.Domain = DomainId.Self;
                if (Hypercall.Grant(GrantTableOp.GetVersion, &actual) == 0)
                {
                    s_version = actual.Version;
                }

                return isSet;
            case 1:
                GrantSwapArgument swap = default;
                swap.ReferenceA = Reference();
                swap.ReferenceB = Reference();
                return Hypercall.Grant(GrantTableOp.SwapGrantReference, &swap) == 0 && swap.Status == 0;
            case 2:
                GrantQuerySizeArgument query = default;
                query.Domain = Dice.DomainNumber();
                return Hypercall.Grant(GrantTableOp.QuerySize, &query) == 0 && query.Status == 0;
            case 3:
                GrantStatusFramesArgument status = default;
                status.Domain = Dice.DomainNumber();
                status.FrameCount = (uint)Dice.Interesting();
                status.FrameList = Dice.Once(4) ? Pool.AnyAddress() : VcpuRegion.Current->Scratch;
                return Hypercall.Grant(GrantTableOp.GetStatusFrames, &status) == 0 && status.Status == 0;
            case 4:
                GrantSetupArgument setup = default;
                setup.Domain = Dice.DomainNumber();
                setup.FrameCount = Dice.Once(2) ? (uint)Dice.Interesting() : Dice.Below(4);
                setup.FrameList = Dice.Once(4) ? Pool.AnyAddress() : VcpuRegion.Current->Scratch;
                return Hypercall.Grant(GrantTableOp.SetupTable, &setup) == 0 && setup.Status == 0;
            case 5:
                GrantCacheFlushArgument flush = default;
                flush.DeviceBusAddress = Pool.AnyFrame() << PageEntry.PageShift;
                flush.Length = (ushort)Dice.Interesting();
                flush.Offset = (ushort)Dice.Interesting();
                flush.Operation = (uint)Dice.Interesting();
                return Hypercall.Grant(GrantTableOp.CacheFlush, &flush) == 0;
            default:
                ulong* words = (ulong*)VcpuRegion.Current->Scratch;
                for (int i = 0; i < 24; i++)
                {
                    words[i] = Dice.Interesting();
                }

                // Copies and mappings with such words could hit the kernel; the operations above have their own.
                ulong command = Dice.Below(20);
                command = command is GrantTableOp.Copy or GrantTableOp.Transfer or GrantTableOp.MapGrantReference or GrantTableOp.UnmapGrantReference or GrantTableOp.UnmapAndReplace
                    ? 100 + command
                    : command;
                return Hypercall.Invoke(HypercallNumber.GrantTableOp, command, Dice.Once(3) ? Pool.AnyAddress() : (ulong)words, Dice.Interesting()) == 0;
        }
    }

    /// <summary>The domain's own id: grants to oneself name it, DOMID_SELF is for the argument of operations.</summary>
    internal static ushort OwnDomain { get; set; }

    /// <summary>The domain to play with; this one when there is no other.</summary>
    internal static ushort Peer { get; set; }

    /// <summary>This domain or its peer.</summary>
    internal static ushort Partner() => Dice.Once(2) ? Peer : OwnDomain;

    private static ulong SafeAddress()
    {
        ulong address = Pool.AnyAddress();
        return address - Domain.VirtualBase < Pool.Address(0) - Domain.VirtualBase ? Pool.Address(Pool.Pick()) : address;
    }

    private static void ForgetWritable()
    {
        for (int hot = 0; hot < Pool.Hot; hot++)
        {
            Pool.Writable(hot) = 0;
        }
    }
}

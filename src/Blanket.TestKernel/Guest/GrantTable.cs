using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>The domain's grant table, mapped; version 1 unless somebody changes it.</summary>
internal static unsafe class GrantTable
{
    /// <summary>Frames of it.</summary>
    internal const int Frames = 2;

    /// <summary>Entries of version 1. The first <see cref="GrantTableEntry.Reserved"/> are the domain builder's.</summary>
    internal const uint Entries = Frames * (uint)(PageEntry.PageSize / GrantTableEntry.SizeV1);

    private static uint s_next = GrantTableEntry.Reserved;

    /// <summary>Where it is.</summary>
    internal static ulong Address { get; private set; }

    /// <summary>Maps it, in the place of pages that are taken for that.</summary>
    /// <returns>Its first frame.</returns>
    internal static ulong Map()
    {
        ulong* frames = stackalloc ulong[Frames];
        GrantSetupArgument setup = default;
        setup.Domain = DomainId.Self;
        setup.FrameCount = Frames;
        setup.FrameList = (ulong)frames;
        Domain.Require(Hypercall.Grant(GrantTableOp.SetupTable, &setup));
        Domain.Require(setup.Status);
        Address = Page.Take().Address;
        Page.Take();
        for (int i = 0; i < Frames; i++)
        {
            Domain.Require(Hypercall.UpdateMapping(Address + (ulong)i * PageEntry.PageSize, PageEntry.Make(frames[i], PageEntry.ReadWritePage)));
        }

        return frames[0];
    }

    /// <summary>Grants a page to a domain.</summary>
    /// <returns>The reference, which nobody uses.</returns>
    internal static uint Grant(Page page, ushort domain, bool isReadOnly)
    {
        uint reference = s_next++;
        Set(reference, (ushort)(GrantTableFlags.PermitAccess | (isReadOnly ? GrantTableFlags.ReadOnly : 0)), domain, page.Mfn);
        return reference;
    }

    /// <summary>Takes back all that was granted by <see cref="Grant"/>. A page that somebody still uses is a check that failed.</summary>
    internal static void RevokeAll()
    {
        for (uint reference = GrantTableEntry.Reserved; reference < s_next; reference++)
        {
            int used = Flags(reference) & (GrantTableFlags.Reading | GrantTableFlags.Writing);
            Report.Equal("use of a grant when all devices are closed"u8, used, 0);
            Set(reference, GrantTableFlags.Invalid, 0, 0);
        }

        s_next = GrantTableEntry.Reserved;
    }

    /// <summary>Writes an entry of version 1.</summary>
    internal static void Set(uint reference, ushort flags, ushort domain, ulong frame)
    {
        byte* entry = (byte*)Address + reference * GrantTableEntry.SizeV1;
        *(ushort*)(entry + 2) = domain;
        *(uint*)(entry + GrantTableEntry.FrameOffsetV1) = (uint)frame;
        Volatile.Write(ref *(ushort*)entry, flags);
    }

    /// <summary>The flags of an entry of version 1.</summary>
    internal static ushort Flags(uint reference) => Volatile.Read(ref *(ushort*)((byte*)Address + reference * GrantTableEntry.SizeV1));
}

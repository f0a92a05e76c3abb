using System;

namespace Blanket.TestKernel;

/// <summary>A frame of the domain, mapped at home.</summary>
internal readonly unsafe struct Page
{
    internal readonly ulong Pfn;

    private Page(ulong pfn) => Pfn = pfn;

    /// <summary>An unused page, writable and zeroed.</summary>
    internal static Page Take() => new(Domain.Take());

    /// <summary>The page of a pseudo-physical frame.</summary>
    internal static Page Of(ulong pfn) => new(pfn);

    internal ulong Mfn => Domain.MachineOf(Pfn);

    internal ulong Address => Domain.Home(Pfn);

    internal ulong* Words => (ulong*)Address;

    internal Span<byte> Bytes => new((void*)Address, (int)PageEntry.PageSize);

    /// <summary>Machine address of a word of it.</summary>
    internal ulong MachineAddress(int word) => (Mfn << PageEntry.PageShift) + (ulong)word * sizeof(ulong);

    /// <summary>An entry that refers to it.</summary>
    internal ulong Entry(ulong flags) => PageEntry.Make(Mfn, flags);

    internal long MakeReadOnly() => Domain.SetHome(Pfn, PageEntry.ReadOnlyPage);

    internal long MakeWritable() => Domain.SetHome(Pfn, PageEntry.ReadWritePage);

    internal long Unmap() => Domain.SetHome(Pfn, 0);
}

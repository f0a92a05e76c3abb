using System;
using System.Runtime.InteropServices;
using Blanket.Core.Hypercalls;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// Where the pages of a domain under construction are: a tree of three levels by page number whose leaves are the frames
/// of the domain's own p2m list, so the list is filled by using it. Covers 2^27 pages.
/// </summary>
public struct DomainPages
{
    /// <summary>Page numbers a leaf holds.</summary>
    public const int PerLeaf = Cpu.PageSize / sizeof(ulong);

    /// <summary>The most pages of a domain: 512 GiB.</summary>
    public const ulong Maximum = (ulong)PerLeaf * PerLeaf * PerLeaf;

    private const int LeafShift = 9;
    private const ulong IndexMask = PerLeaf - 1;
    private const int BytesBetweenChecks = 32 << 10;

    private ulong _root;

    /// <summary>An empty tree; false when memory is out.</summary>
    public static bool TryCreate(out DomainPages pages)
    {
        pages = default;
        return FrameAllocator.TryAllocateZeroed(out pages._root);
    }

    /// <summary>Returns the tree's own frames; the leaves are the domain's.</summary>
    public readonly void Release()
    {
        Span<ulong> branches = PhysicalMemory.FrameAs<ulong>(_root);
        for (int i = 0; i < branches.Length; i++)
        {
            if (branches[i] != 0)
            {
                FrameAllocator.Free(branches[i]);
            }
        }

        FrameAllocator.Free(_root);
    }

    /// <summary>Uses a frame as the leaf for page numbers from 512 * <paramref name="index"/> on; false when memory is out.</summary>
    public readonly bool TryAddLeaf(ulong index, ulong frame)
    {
        ref ulong branch = ref PhysicalMemory.FrameAs<ulong>(_root)[(int)(index >> LeafShift)];
        if (branch == 0 && !FrameAllocator.TryAllocateZeroed(out branch))
        {
            return false;
        }

        PhysicalMemory.FrameAs<ulong>(branch)[(int)(index & IndexMask)] = frame;
        return true;
    }

    /// <summary>Says that pages from <paramref name="pfn"/> on are in frames from <paramref name="frame"/> on.</summary>
    public readonly void SetRange(ulong pfn, ulong frame, ulong count)
    {
        while (count > 0)
        {
            Span<ulong> leaf = Leaf(pfn);
            int at = (int)(pfn & IndexMask);
            int here = (int)Math.Min(count, (ulong)(PerLeaf - at));
            for (int i = 0; i < here; i++)
            {
                leaf[at + i] = frame + (ulong)i;
            }

            pfn += (ulong)here;
            frame += (ulong)here;
            count -= (ulong)here;
        }
    }

    /// <summary>The frame of a page.</summary>
    public readonly ulong Frame(ulong pfn) => Leaf(pfn)[(int)(pfn & IndexMask)];

    /// <summary>A page as 512 page-table entries.</summary>
    public readonly Span<ulong> Entries(ulong pfn) => PhysicalMemory.FrameAs<ulong>(Frame(pfn));

    /// <summary>Copies bytes to a pseudo-physical address.</summary>
    public readonly void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int offset = (int)(address & (Cpu.PageSize - 1));
            int here = Math.Min(bytes.Length, Cpu.PageSize - offset);
            bytes.Slice(0, here).CopyTo(PhysicalMemory.Frame(Frame(address >> Cpu.PageShift)).Slice(offset, here));
            bytes = bytes.Slice(here);
            address += (ulong)here;
        }
    }

    /// <summary>Copies bytes to a pseudo-physical address, in a step that stops when <see cref="Preemption.IsNeeded"/>.</summary>
    /// <returns>Whether all are there.</returns>
    internal readonly bool TryWrite(ulong address, ReadOnlySpan<byte> bytes, ref StepProgress steps)
    {
        if (!steps.TryEnter())
        {
            return true;
        }

        while (steps.Part < (ulong)bytes.Length)
        {
            int done = (int)steps.Part;
            int here = Math.Min(bytes.Length - done, BytesBetweenChecks);
            Write(address + (ulong)done, bytes.Slice(done, here));
            steps.Part += (ulong)here;
            if (Preemption.IsNeeded)
            {
                return false;
            }
        }

        steps.Leave();
        return true;
    }

    /// <summary>Writes a value to a pseudo-physical address.</summary>
    public readonly void WriteValue<T>(ulong address, T value) where T : unmanaged =>
        Write(address, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>The frame of a leaf.</summary>
    public readonly ulong LeafFrame(ulong index)
    {
        ulong branch = PhysicalMemory.FrameAs<ulong>(_root)[(int)(index >> LeafShift)];
        Check.That(branch != 0);
        ulong leaf = PhysicalMemory.FrameAs<ulong>(branch)[(int)(index & IndexMask)];
        Check.That(leaf != 0);
        return leaf;
    }

    private readonly Span<ulong> Leaf(ulong pfn) => PhysicalMemory.FrameAs<ulong>(LeafFrame(pfn >> LeafShift));
}

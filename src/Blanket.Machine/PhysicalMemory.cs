using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
#if !METAL
using System.Runtime.InteropServices;
#endif
using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// Machine memory by physical address or frame number, through the direct map. Every access is checked against
/// the end of memory; an access outside it abandons the handler. What guests can change must be copied once,
/// then checked, then used: <see cref="Read{T}"/> and <see cref="Write{T}"/> are single volatile accesses.
/// </summary>
public static unsafe class PhysicalMemory
{
    private static byte* s_base;
    private static ulong s_limit;

    /// <summary>First physical address above the direct map.</summary>
    public static ulong Limit => s_limit;

    /// <summary>First frame number above the direct map.</summary>
    public static ulong FrameLimit => s_limit >> Cpu.PageShift;

    /// <summary>Tells where the direct map is and how far it goes.</summary>
    /// <param name="directMap">Its linear address.</param>
    /// <param name="limit">First physical address that it does not cover.</param>
    public static void Initialize(nuint directMap, ulong limit)
    {
        s_base = (byte*)directMap;
        s_limit = limit;
    }

#if !METAL
    /// <summary>Simulates <paramref name="frames"/> frames of zeroed memory for host tests.</summary>
    public static void Simulate(int frames)
    {
        NativeMemory.AlignedFree(s_base);
        nuint size = (nuint)frames * Cpu.PageSize;
        s_base = (byte*)NativeMemory.AlignedAlloc(size, Cpu.PageSize);
        NativeMemory.Clear(s_base, size);
        s_limit = size;
    }
#endif

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Address(ulong physical, ulong length)
    {
        if (physical >= s_limit || length > s_limit - physical)
        {
            OutOfRange();
        }

        return s_base + physical;
    }

    [DoesNotReturn]
    private static void OutOfRange()
    {
#if METAL
        ThrowHelper.Abandon();
#else
        throw new ArgumentOutOfRangeException("physical");
#endif
    }

    /// <summary>Linear address of a physical range in the direct map.</summary>
    public static nuint LinearAddress(ulong physical, ulong length) => (nuint)Address(physical, length);

    /// <summary>A structure at a physical address, which must be aligned to the structure's alignment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref T At<T>(ulong physical) where T : unmanaged => ref *(T*)Address(physical, (ulong)sizeof(T));

    /// <summary>A byte window on physical memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Span<byte> Bytes(ulong physical, int length) => new(Address(physical, (uint)length), length);

    /// <summary>The 4,096 bytes of a frame.</summary>
    public static Span<byte> Frame(ulong frame) => new(Address(frame << Cpu.PageShift, Cpu.PageSize), Cpu.PageSize);

    /// <summary>A frame as an array of <typeparamref name="T"/>; 512 entries of a page table for ulong.</summary>
    public static Span<T> FrameAs<T>(ulong frame) where T : unmanaged =>
        new(Address(frame << Cpu.PageShift, Cpu.PageSize), Cpu.PageSize / sizeof(T));

    /// <summary>One copy of a value that others may change at the same time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(ulong physical) where T : unmanaged
    {
        byte* address = Address(physical, (ulong)sizeof(T));
        if (sizeof(T) == sizeof(uint))
        {
            uint value = Volatile.Read(ref *(uint*)address);
            return *(T*)&value;
        }

        if (sizeof(T) == sizeof(ulong))
        {
            ulong value = Volatile.Read(ref *(ulong*)address);
            return *(T*)&value;
        }

        if (sizeof(T) == sizeof(ushort))
        {
            ushort value = Volatile.Read(ref *(ushort*)address);
            return *(T*)&value;
        }

        return Copy<T>(address);
    }

    // A call is what keeps the compiler from looking twice.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static T Copy<T>(byte* address) where T : unmanaged => *(T*)address;

    /// <summary>One store of a value that others may read at the same time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write<T>(ulong physical, T value) where T : unmanaged
    {
        byte* address = Address(physical, (ulong)sizeof(T));
        if (sizeof(T) == sizeof(uint))
        {
            Volatile.Write(ref *(uint*)address, *(uint*)&value);
        }
        else if (sizeof(T) == sizeof(ulong))
        {
            Volatile.Write(ref *(ulong*)address, *(ulong*)&value);
        }
        else if (sizeof(T) == sizeof(ushort))
        {
            Volatile.Write(ref *(ushort*)address, *(ushort*)&value);
        }
        else
        {
            Store(address, value);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Store<T>(byte* address, T value) where T : unmanaged => *(T*)address = value;

    /// <summary>Fills a frame with zeroes.</summary>
    public static void ZeroFrame(ulong frame) => Frame(frame).Clear();

    /// <summary>Copies a whole frame.</summary>
    public static void CopyFrame(ulong destination, ulong source) => Frame(source).CopyTo(Frame(destination));
}

using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Machine;

namespace Blanket.Core.Storage;

/// <summary>
/// An array that grows at its end by whole zeroed frames of the hypervisor, up to a maximum, and is read without a lock:
/// an entry stays where it is until <see cref="Clear"/>. Growing is for one CPU at a time (the owner's lock).
/// </summary>
/// <typeparam name="T">Its size divides a frame's.</typeparam>
internal sealed class FrameArray<T> where T : unmanaged
{
    private readonly uint[] _frames;
    private int _count;

    /// <summary>An empty array.</summary>
    /// <param name="maximum">Entries that it must have room for; rounded up to a whole frame.</param>
    public FrameArray(uint maximum)
    {
        Check.That(Cpu.PageSize % Unsafe.SizeOf<T>() == 0);
        _frames = new uint[(maximum + PerFrame - 1) / PerFrame];
    }

    /// <summary>Entries in one frame.</summary>
    public static uint PerFrame => (uint)(Cpu.PageSize / Unsafe.SizeOf<T>());

    /// <summary>Entries that exist; indexes below this are valid.</summary>
    public uint Count => (uint)Volatile.Read(ref _count);

    /// <summary>Frames that it occupies.</summary>
    public int Frames => (int)(Count / PerFrame);

    /// <summary>An existing entry; any other index abandons the handler.</summary>
    public ref T this[uint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            if (index >= Count)
            {
                Check.Fail();
            }

            uint frame = index / PerFrame;
            return ref PhysicalMemory.At<T>(((ulong)_frames[frame] << Cpu.PageShift) + (index - frame * PerFrame) * (uint)Unsafe.SizeOf<T>());
        }
    }

    /// <summary>Adds a frame of zeroed entries; false when the maximum is reached or memory is out.</summary>
    public bool TryGrow()
    {
        int frames = Frames;
        if (frames >= _frames.Length || !FrameAllocator.TryAllocateZeroed(out ulong frame))
        {
            return false;
        }

        TableFrames.Add();
        _frames[frames] = (uint)frame;

        // Readers check the count first: the frame must be there before the count says so.
        Volatile.Write(ref _count, _count + (int)PerFrame);
        return true;
    }

    /// <summary>Returns all frames, zeroed; nobody may be reading.</summary>
    public void Clear()
    {
        int frames = Frames;
        Volatile.Write(ref _count, 0);
        TableFrames.Remove(frames);
        for (int i = 0; i < frames; i++)
        {
            PhysicalMemory.ZeroFrame(_frames[i]);
            FrameAllocator.Free(_frames[i]);
        }
    }
}

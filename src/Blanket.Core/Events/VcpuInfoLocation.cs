using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Events;

/// <summary>
/// Where a vCPU's struct vcpu_info is: in its domain's shared info at first (the first 32 vCPUs), or in a page of the guest
/// that it registered (VCPUOP_register_vcpu_info; xen/include/public/vcpu.h).
/// </summary>
public sealed class VcpuInfoLocation
{
    private ulong _address;
    private ulong _registeredFrame;

    /// <summary>Physical address; 0 while there is none. A vCPU without one must not run.</summary>
    public ulong Address => Volatile.Read(ref _address);

    /// <summary>Whether the guest chose the place.</summary>
    public bool IsRegistered => _registeredFrame != 0;

    /// <summary>The frame that the guest chose, of which it is a writable reference; 0 for none.</summary>
    internal ulong RegisteredFrame => _registeredFrame;

    /// <summary>
    /// Puts the vcpu_info into the shared info frame (<see cref="Domain.SharedInfoFrame"/>), events masked as at the start
    /// of day; a vCPU above the 32nd gets none.
    /// </summary>
    public void UseSharedInfo(Vcpu vcpu)
    {
        ulong address = vcpu.Id < SharedInfo.LegacyVcpus && vcpu.Domain.SharedInfoFrame != 0
            ? (vcpu.Domain.SharedInfoFrame << Cpu.PageShift) + (ulong)(vcpu.Id * VcpuInfo.Size)
            : 0;
        Publish(vcpu, address);
        if (address != 0)
        {
            PhysicalMemory.Write(address + VcpuInfo.EventMaskOffset, (byte)1);
        }
    }

    /// <summary>VCPUOP_register_vcpu_info: moves the contents to a page of the guest and marks everything pending.</summary>
    /// <param name="vcpu">The vCPU; the running one or one that is down (the caller checks: -EINVAL otherwise).</param>
    /// <param name="frame">Frame of the new place; must be the domain's and writable.</param>
    /// <param name="offset">Offset in the frame, a multiple of 8.</param>
    /// <returns>0, -ENXIO for a bad offset, -EINVAL for a frame that is not fit or a second registration.</returns>
    public int Register(Vcpu vcpu, ulong frame, uint offset)
    {
        if (offset > Cpu.PageSize - VcpuInfo.Size || offset % VcpuInfo.Alignment != 0)
        {
            return -Errno.ENXIO;
        }

        // The guard makes a second registration fail, also one that runs at the same time.
        if (frame == 0 || Interlocked.CompareExchange(ref _registeredFrame, frame, 0) != 0)
        {
            return -Errno.EINVAL;
        }

        if (!FrameReference.TryGetWritable(vcpu.Domain, frame))
        {
            Volatile.Write(ref _registeredFrame, 0UL);
            return -Errno.EINVAL;
        }

        ulong target = (frame << Cpu.PageShift) + offset;
        FillNew(target);
        Publish(vcpu, target);

        // What was set in the old place during the move is lost: a spurious event for everything makes up for it.
        Volatile.Write(ref PhysicalMemory.At<ulong>(target + VcpuInfo.PendingSelectorOffset), ulong.MaxValue);
        MarkPending(vcpu);
        return 0;
    }

    /// <summary>Back to the shared info, dropping the registered page; only when no sender can be at work any more.</summary>
    public void Release(Vcpu vcpu)
    {
        ulong frame = _registeredFrame;
        if (frame == 0)
        {
            return;
        }

        UseSharedInfo(vcpu);
        Volatile.Write(ref _registeredFrame, 0UL);
        FrameReference.PutWritable(frame);
    }

    /// <summary>Sets bit <paramref name="word"/> of the pending selector; if it was clear, makes an upcall pending.</summary>
    internal void SelectWord(Vcpu vcpu, int word)
    {
        ulong address = Address;
        if (address != 0 && !AtomicBits.TestAndSet(ref PhysicalMemory.At<ulong>(address + VcpuInfo.PendingSelectorOffset), word))
        {
            MarkPending(vcpu);
        }
    }

    /// <summary>Sets evtchn_upcall_pending; the vCPU is notified when it was clear.</summary>
    internal void MarkPending(Vcpu vcpu)
    {
        // The pending byte is the lowest of an aligned word; the rest of the word is left as it is.
        ulong address = Address;
        if (address != 0 && !AtomicBits.TestAndSet(ref PhysicalMemory.At<ulong>(address), 0))
        {
            VcpuNotifier.Kick(vcpu);
        }
    }

    private void FillNew(ulong target)
    {
        ulong source = Address;
        if (source == 0)
        {
            PhysicalMemory.Bytes(target, VcpuInfo.Size).Clear();
            PhysicalMemory.Write(target + VcpuInfo.EventMaskOffset, (byte)1);
        }
        else
        {
            PhysicalMemory.Bytes(source, VcpuInfo.Size).CopyTo(PhysicalMemory.Bytes(target, VcpuInfo.Size));
        }
    }

    private void Publish(Vcpu vcpu, ulong address)
    {
        Volatile.Write(ref _address, address);
        VcpuInfoPointer.Set(ref vcpu.State, address);
    }
}

using System.Runtime.InteropServices;
using System.Threading;

namespace Blanket.Core.Events;

/// <summary>One event channel port of a domain; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EventPort
{
    private ulong _binding;

    /// <summary>vCPU that is notified; always one that exists.</summary>
    public ushort NotifyVcpu;

    /// <summary>FIFO ABI: the queue that it goes into next.</summary>
    public byte Priority;

    /// <summary>FIFO ABI: it became pending before the guest gave its event word's page.</summary>
    public byte PendingWithoutWord;

    /// <summary>FIFO ABI: the queue (vCPU * 16 + priority) that it was put into last.</summary>
    public uint LastQueue;

    /// <summary>State and other end, one single read.</summary>
    public PortBinding Binding
    {
        readonly get => PortBinding.FromRaw(Volatile.Read(in _binding));
        set => Volatile.Write(ref _binding, value.Raw);
    }

    /// <summary>Changes the binding and tells what it was, as one step.</summary>
    public PortBinding Exchange(PortBinding value) => PortBinding.FromRaw(Interlocked.Exchange(ref _binding, value.Raw));

    /// <summary>Changes the binding if it is still the expected one.</summary>
    public bool TryChange(PortBinding expected, PortBinding value) =>
        Interlocked.CompareExchange(ref _binding, value.Raw, expected.Raw) == expected.Raw;
}

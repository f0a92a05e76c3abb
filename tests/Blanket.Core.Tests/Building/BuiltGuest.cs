using System;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Core.Tests.Processor;
using Blanket.Machine;

namespace Blanket.Core.Tests.Building;

/// <summary>A domain built from an image, and what its vCPU would see in memory.</summary>
internal sealed class BuiltGuest
{
    public const ushort Id = 7;

    /// <summary>Builds.</summary>
    /// <param name="kernel">ELF file.</param>
    /// <param name="ramdisk">Ramdisk.</param>
    /// <param name="commandLine">Command line.</param>
    /// <param name="pages">The domain's pages.</param>
    /// <param name="machineFrames">The machine's frames.</param>
    /// <param name="mostGoes">In goes that are interrupted as soon as they look, as many at most; otherwise in one.</param>
    public BuiltGuest(byte[] kernel, byte[] ramdisk, string commandLine, ulong pages, int machineFrames, int mostGoes = 0)
    {
        Machine = new TestMachine(machineFrames);
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
        Domain = Machine.CreateDomain(Id, 1, pages);
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong shared));
        SharedFrames.Share(shared, Domain, readOnly: false);
        Domain.SharedInfoFrame = shared;
        BuildRequest request = new()
        {
            Kernel = kernel,
            Ramdisk = ramdisk,
            CommandLine = System.Text.Encoding.ASCII.GetBytes(commandLine),
            Pages = pages,
            StorePort = 1,
            ConsolePort = 2,
        };
        Status = DomainBuilder.Begin(request, out BuildProgress progress);
        if (Status != BuildStatus.Ok)
        {
            return;
        }

        do
        {
            PendingWork.Exists = Goes < mostGoes;
            Status = DomainBuilder.Continue(Domain, request, ref progress, out BuildResult result);
            Result = result;
            Goes++;
        }
        while (Status == BuildStatus.Unfinished && (mostGoes == 0 || Goes < mostGoes));
        PendingWork.Exists = false;
        if (Status == BuildStatus.Unfinished)
        {
            DomainBuilder.Abandon(ref progress);
        }
    }

    /// <summary>Goes that it took.</summary>
    public int Goes { get; }

    public TestMachine Machine { get; }

    public Domain Domain { get; }

    /// <summary>What came of it; <see cref="BuildStatus.Unfinished"/> when it was abandoned.</summary>
    public BuildStatus Status { get; }

    public BuildResult Result { get; }

    public Vcpu Vcpu => Domain.Vcpus[0]!;

    public StartInfo StartInfo => PhysicalMemory.At<StartInfo>(Translate(Result.StartInfoAddress));

    /// <summary>The L1 entry that maps an address; 0 when nothing does.</summary>
    public ulong Entry(ulong address) => GuestPageWalk.ReadL1Entry(Result.RootFrame, address);

    /// <summary>The machine address behind a linear one.</summary>
    public ulong Translate(ulong address)
    {
        ulong entry = Entry(address);
        Assert.True((entry & PageTableEntry.Present) != 0, $"{address:x} is not mapped");
        return (entry & PageTableEntry.AddressMask) | (address & (Cpu.PageSize - 1));
    }

    /// <summary>The machine frame of a page, by the guest's own p2m list.</summary>
    public ulong Frame(ulong pfn) => PhysicalMemory.At<ulong>(Translate(StartInfo.P2MList + pfn * 8));

    public byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            bytes[i] = PhysicalMemory.At<byte>(Translate(address + (ulong)i));
        }

        return bytes;
    }

    public byte[] ReadPages(ulong pfn, int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            bytes[i] = PhysicalMemory.Frame(Frame(pfn + (ulong)i / Cpu.PageSize))[i % Cpu.PageSize];
        }

        return bytes;
    }

    /// <summary>Destroys the domain and checks that every frame comes back.</summary>
    public void Destroy()
    {
        ulong shared = Domain.SharedInfoFrame;
        Domain.SharedInfoFrame = 0;
        Assert.Equal(0, SharedFrames.Withdraw(shared, Domain));
        Machine.Destroy(Domain);
        Assert.True(Domain.OwnsNoFrames);
    }
}

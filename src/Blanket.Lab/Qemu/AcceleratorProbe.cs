using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.Qemu;

/// <summary>
/// Finds out whether /dev/kvm runs a guest; its mere presence does not say so. Where a host without hardware virtualization has one (PVM, or a
/// module that another hypervisor's guest loads), it emulates instructions one at a time, and only those that KVM's emulator knows: it does
/// not know those of SSE.
/// </summary>
public static class AcceleratorProbe
{
    private const string Device = "/dev/kvm";
    private const int FirmwareSize = 64 << 10;
    private const int ResetVectorOffset = FirmwareSize - 16;
    private const int DescriptorsOffset = 0x68;
    private const byte ExitPort = 0xF4;
    private const byte ExitValue = 0x10;

    /// <summary>isa-debug-exit ends QEMU with twice the value plus one.</summary>
    private const int ExpectedStatus = (ExitValue << 1) | 1;

    /// <summary>What QEMU says of an instruction that KVM cannot emulate; then it waits for somebody to look at the machine.</summary>
    private const string EmulationFailure = "KVM internal error";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>KVM if a guest of a few instructions runs with it by hardware, otherwise TCG.</summary>
    public static async Task<Accelerator> ProbeAsync(CancellationToken cancellation)
    {
        if (!File.Exists(Device))
        {
            return new Accelerator(false, $"there is no {Device}");
        }

        if (!IsAccessible())
        {
            return new Accelerator(false, $"{Device} may not be opened by this user (group kvm)");
        }

        return await RunsGuestAsync(cancellation).ConfigureAwait(false)
            ? new Accelerator(true, $"{Device} runs guests")
            : new Accelerator(false, $"{Device} exists but does not run a guest");
    }

    /// <summary>
    /// Firmware that goes from real to 64-bit mode, with page tables at 0x1000, executes an instruction of SSE and says: this CPU runs.
    /// It lies at 0xf0000, too, where the code goes on after the reset vector.
    /// </summary>
    internal static byte[] Firmware()
    {
        byte[] firmware = new byte[FirmwareSize];
        ReadOnlySpan<byte> reset = [0xEA, 0x00, 0x00, 0x00, 0xF0]; // ljmp $0xf000, $0
        ReadOnlySpan<byte> code =
        [
            0xFA, // cli
            0x31, 0xC0, // xor %ax, %ax
            0x8E, 0xD8, // mov %ax, %ds
            0x66, 0xC7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00, // movl $0x2003, 0x1000: to the second level
            0x66, 0xC7, 0x06, 0x00, 0x20, 0x03, 0x30, 0x00, 0x00, // movl $0x3003, 0x2000: to the third
            0x66, 0xC7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00, // movl $0x83, 0x3000: the first 2 MiB as they are
            0x2E, 0x66, 0x0F, 0x01, 0x16, 0x78, 0x00, // lgdtl %cs:0x78
            0x66, 0xB8, 0x20, 0x06, 0x00, 0x00, // mov $0x620, %eax: PAE, OSFXSR, OSXMMEXCPT
            0x0F, 0x22, 0xE0, // mov %eax, %cr4
            0x66, 0xB8, 0x00, 0x10, 0x00, 0x00, // mov $0x1000, %eax
            0x0F, 0x22, 0xD8, // mov %eax, %cr3
            0x66, 0xB9, 0x80, 0x00, 0x00, 0xC0, // mov $0xc0000080, %ecx: EFER
            0x0F, 0x32, // rdmsr
            0x66, 0x0D, 0x00, 0x01, 0x00, 0x00, // or $0x100, %eax: LME
            0x0F, 0x30, // wrmsr
            0x66, 0xB8, 0x03, 0x00, 0x00, 0x80, // mov $0x80000003, %eax: PG, MP, PE
            0x0F, 0x22, 0xC0, // mov %eax, %cr0
            0x66, 0xEA, 0x5A, 0x00, 0x0F, 0x00, 0x08, 0x00, // ljmpl $8, $0xf005a
            0x0F, 0x57, 0xC0, // xorps %xmm0, %xmm0, in 64-bit mode
            0xB0, ExitValue, // mov $ExitValue, %al
            0xE6, ExitPort, // out %al, $ExitPort
            0xF4, // hlt
        ];
        ReadOnlySpan<byte> descriptors =
        [
            0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x00, 0x00, 0x00, 0x00, 0x00, 0x9B, 0x20, 0x00, // code of 64-bit mode, accessed: the firmware cannot be written to
            0x0F, 0x00, 0x68, 0x00, 0x0F, 0x00, // what lgdt loads: 16 bytes at 0xf0068
        ];
        code.CopyTo(firmware);
        descriptors.CopyTo(firmware.AsSpan(DescriptorsOffset));
        reset.CopyTo(firmware.AsSpan(ResetVectorOffset));
        return firmware;
    }

    /// <summary>Runs the firmware with an accelerator of QEMU's.</summary>
    internal static async Task<bool> RunsFirmwareAsync(string accelerator, string cpu, CancellationToken cancellation)
    {
        string path = Path.GetTempFileName();
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(Patience);
        try
        {
            await File.WriteAllBytesAsync(path, Firmware(), cancellation).ConfigureAwait(false);
            string[] arguments =
            [
                "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "pc", "-accel", accelerator, "-cpu", cpu, "-m", "16",
                "-bios", path, "-device", $"isa-debug-exit,iobase=0x{ExitPort:x},iosize=1",
            ];
            ToolResult result = await Tool.RunAsync(QemuCommandLine.Program, arguments, lastWords: EmulationFailure, cancellation: limit.Token).ConfigureAwait(false);
            return result.ExitCode == ExpectedStatus;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Task<bool> RunsGuestAsync(CancellationToken cancellation) => RunsFirmwareAsync("kvm", "host", cancellation);

    private static bool IsAccessible()
    {
        try
        {
            using FileStream stream = new(Device, FileMode.Open, FileAccess.ReadWrite);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}

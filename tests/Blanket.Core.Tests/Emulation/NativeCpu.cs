using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Blanket.Core.Tests.Emulation;

/// <summary>The general registers by number.</summary>
[InlineArray(16)]
internal struct GeneralRegisters
{
    private ulong _first;
}

/// <summary>General registers and flags before and after an instruction.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CpuRegisters
{
    public GeneralRegisters General;
    public ulong Flags;
}

/// <summary>
/// The CPU that the tests run on, as an oracle: executes one instruction at a chosen address with chosen registers and memory.
/// RSP is the harness's own.
/// </summary>
internal sealed class NativeCpu
{
    /// <summary>Where its memory is: the first page is for code, the second for data.</summary>
    public const ulong Memory = 0x40_0000_0000;
    public const int MemorySize = 0x4000;

    private const int ProtectionAll = 7;
    private const int MapPrivateAnonymous = 0x22;
    private const int MapPrivateAnonymousFixedNoReplace = 0x100022;

    private static readonly nint MemoryAddress = unchecked((nint)Memory);
    private static NativeCpu? s_instance;
    private readonly nint _stubs;
    private readonly ulong _return;
    private readonly Entry _entry;

    private NativeCpu()
    {
        if (Map(MemoryAddress, MemorySize, ProtectionAll, MapPrivateAnonymousFixedNoReplace, -1, 0) != MemoryAddress)
        {
            throw new InvalidOperationException("the oracle's memory is taken");
        }

        _stubs = Map(0, 4096, ProtectionAll, MapPrivateAnonymous, -1, 0);
        byte[] entry = AssembleEntry();
        Marshal.Copy(entry, 0, _stubs, entry.Length);
        _return = (ulong)_stubs + 2048;
        byte[] back = AssembleReturn(_return);
        Marshal.Copy(back, 0, (nint)_return, back.Length);
        _entry = Marshal.GetDelegateForFunctionPointer<Entry>(_stubs);
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void Entry(ref CpuRegisters registers, ulong address);

    public static NativeCpu Instance => s_instance ??= new NativeCpu();

    [DllImport("libc", EntryPoint = "mmap")]
    private static extern nint Map(nint address, nint length, int protection, int flags, int file, nint offset);

    /// <summary>Sets its whole memory.</summary>
    public void Write(byte[] memory) => Marshal.Copy(memory, 0, MemoryAddress, MemorySize);

    /// <summary>Its whole memory.</summary>
    public byte[] Read()
    {
        byte[] memory = new byte[MemorySize];
        Marshal.Copy(MemoryAddress, memory, 0, MemorySize);
        return memory;
    }

    /// <summary>Executes an instruction at <paramref name="address"/>, which is within <see cref="Memory"/>.</summary>
    public void Execute(ulong address, byte[] instruction, ref CpuRegisters registers)
    {
        // jmp [rip] behind it: changes no register.
        byte[] code = new byte[instruction.Length + 14];
        instruction.CopyTo(code, 0);
        code[instruction.Length] = 0xff;
        code[instruction.Length + 1] = 0x25;
        BitConverter.TryWriteBytes(code.AsSpan(instruction.Length + 6), _return);
        Marshal.Copy(code, 0, (nint)address, code.Length);
        _entry(ref registers, address);
    }

    private static AssemblerRegister64[] Registers =>
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    // rdi: state, rsi: where to go.
    private byte[] AssembleEntry()
    {
        Assembler assembler = new(64);
        foreach (AssemblerRegister64 register in new[] { rbx, rbp, r12, r13, r14, r15 })
        {
            assembler.push(register);
        }

        assembler.push(rdi);
        assembler.push(rsi);
        assembler.push(__qword_ptr[rdi + 128]);
        assembler.popfq();
        for (int i = 0; i < 16; i++)
        {
            if (i is not (4 or 7))
            {
                assembler.mov(Registers[i], __qword_ptr[rdi + i * 8]);
            }
        }

        assembler.mov(rdi, __qword_ptr[rdi + 56]);
        assembler.ret();
        return Bytecode(assembler, (ulong)_stubs);
    }

    private static byte[] AssembleReturn(ulong address)
    {
        Assembler assembler = new(64);
        assembler.pushfq();
        assembler.push(rdi);
        assembler.mov(rdi, __qword_ptr[rsp + 16]);
        assembler.pop(__qword_ptr[rdi + 56]);
        assembler.pop(__qword_ptr[rdi + 128]);
        for (int i = 0; i < 16; i++)
        {
            if (i is not (4 or 7))
            {
                assembler.mov(__qword_ptr[rdi + i * 8], Registers[i]);
            }
        }

        assembler.cld();
        assembler.pop(rdi);
        foreach (AssemblerRegister64 register in new[] { r15, r14, r13, r12, rbp, rbx })
        {
            assembler.pop(register);
        }

        assembler.ret();
        return Bytecode(assembler, address);
    }

    private static byte[] Bytecode(Assembler assembler, ulong address)
    {
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        return stream.ToArray();
    }
}

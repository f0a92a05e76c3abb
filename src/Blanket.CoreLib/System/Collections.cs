namespace System.Collections;

// The compiler wants these to exist for 'foreach' over arrays; no code is generated for them.
public interface IEnumerable
{
    IEnumerator GetEnumerator();
}

public interface IEnumerator
{
    object? Current { get; }

    bool MoveNext();

    void Reset();
}

use std::ffi::{CString, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

/// Turns the calling process into `program`; returns only why it could not.
///
/// Unlike the standard library's, which goes through `execvp`, this never tries a shell on a file that the kernel does
/// not know how to execute.
///
/// Source: execve(2).
pub(crate) fn execute(program: &Path, arguments: &[String], environment: &[(String, String)]) -> io::Error {
    let prepared = || {
        let program = CString::new(program.as_os_str().as_bytes())?;
        let arguments = arguments.iter().map(|argument| CString::new(argument.as_str()));
        let variables = environment.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        Ok::<_, io::Error>((
            program,
            arguments.collect::<Result<Vec<_>, _>>()?,
            variables.collect::<Result<Vec<_>, _>>()?,
        ))
    };
    let (program, arguments, variables) = match prepared() {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let argument_pointers = null_terminated(std::iter::once(&program).chain(&arguments));
    let variable_pointers = null_terminated(&variables);
    // The standard library ignores this signal in its own processes, and that would be inherited.
    // SAFETY: no handler is installed; the default action needs none.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: all three are valid: a C string, and two arrays of C strings that end with a null pointer; what they point
    // to lives until the call has failed.
    unsafe { libc::execve(program.as_ptr(), argument_pointers.as_ptr(), variable_pointers.as_ptr()) };
    io::Error::last_os_error()
}

fn null_terminated<'strings>(strings: impl IntoIterator<Item = &'strings CString>) -> Vec<*const c_char> {
    strings.into_iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::null_terminated;
    use std::ffi::{CStr, CString};

    #[test]
    fn what_a_program_is_started_with_can_be_read_up_to_its_end() {
        let strings = [c"one".to_owned(), CString::default(), c"A=b=c".to_owned()];
        let pointers = null_terminated(&strings);
        assert!(pointers.last().unwrap().is_null());
        let read: Vec<&CStr> = pointers
            .iter()
            .take_while(|pointer| !pointer.is_null())
            // SAFETY: all but the last point to the strings above.
            .map(|pointer| unsafe { CStr::from_ptr(*pointer) })
            .collect();
        assert_eq!(read, [c"one", c"", c"A=b=c"]);
    }
}
